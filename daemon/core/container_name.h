/*
 * Names of the containers that stand beside a balancer's for a while. They are
 * named after it, so that the next run knows whose they are, and what for.
 */
#ifndef APILB_CORE_CONTAINER_NAME_H
#define APILB_CORE_CONTAINER_NAME_H

enum container_role {
	CONTAINER_BALANCER, /* NAME: no suffix */
	CONTAINER_NEXT,     /* NAME-apilb-next: its successor, until it takes the name over */
	CONTAINER_HELPER,   /* NAME-apilb-helper: carries files to the host, or checks a config */
	CONTAINER_OLD,      /* NAME-apilb-old-XXXXXXXX: was succeeded, and leaves with its last connection */
};

/* "NAME-apilb-next", "NAME-apilb-helper". The caller frees. */
char *container_next_name(const char *name);
char *container_helper_name(const char *name);
/* id: the container's, at least 8 digits of it: several may be leaving at a time. The caller frees. */
char *container_old_name(const char *name, const char *id);

/* What a container's name says. *name (caller frees) is the balancer's; name may be NULL. */
enum container_role container_role_of(const char *container_name, char **name);

#endif
