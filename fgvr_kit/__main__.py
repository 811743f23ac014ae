from fgvr_kit.cli.app import main

main()
