/*
 * The whole daemon: its parts put together, and ended in order. Here, not in main.c, so that tests link it.
 */
#ifndef APILB_DAEMON_H
#define APILB_DAEMON_H

/* Returns the exit code (the contract has them). */
int daemon_main(int argc, char **argv);

#endif
