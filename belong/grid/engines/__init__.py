"""Where the cells of the grid run: this machine, Ray or Slurm."""
