"""`python -m reproduction.combination_study`, see `study`."""

import sys

from reproduction.combination_study.study import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
