"""`python -m pvload.cli`: the command without its script."""

from pvload.cli.main import main

if __name__ == "__main__":
    main()
