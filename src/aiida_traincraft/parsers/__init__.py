"""One parser beside each CalcJob, same name; they judge by content, not by exit status."""
