/*
 * The whole daemon. It is not in main.c, so that tests can link it.
 */
#ifndef APILB_DAEMON_H
#define APILB_DAEMON_H

/* Runs the daemon to its end. Returns the exit code: see EXIT STATUS in apilbd(8). */
int daemon_main(int argc, char **argv);

#endif
