"""CalcJob plugins, one file each; all run the science floor's worker on the compute node."""
