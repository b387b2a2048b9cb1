"""What varies behind one set of ports: labellers, trainers and explorers, found by entry points."""
