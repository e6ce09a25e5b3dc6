from dqn_lab.cli import main

main()
