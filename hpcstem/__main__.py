"""`python -m hpcstem`: the command line, where the program `hpcstem` is not on PATH."""

from hpcstem.cli import main

if __name__ == "__main__":
    main()
