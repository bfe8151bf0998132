/*
 * Names of the containers that exist beside a balancer's for a while. They are
 * derived from the balancer's name, so that the next run knows whose they are,
 * and what for.
 */
#ifndef APILB_CORE_CONTAINER_NAME_H
#define APILB_CORE_CONTAINER_NAME_H

enum container_role {
	CONTAINER_BALANCER, /* NAME: no suffix */
	CONTAINER_NEXT,     /* NAME-apilb-next: the successor, until it takes over the name */
	CONTAINER_HELPER,   /* NAME-apilb-helper: brings files to the host, or checks a config */
	CONTAINER_OLD,      /* NAME-apilb-old-XXXXXXXX: the former container, which drains */
};

/* "NAME-apilb-next", "NAME-apilb-helper". The caller frees. */
char *container_next_name(const char *name);
char *container_helper_name(const char *name);
/* The name has 8 digits of the container's id, since several may drain at a time. The caller frees. */
char *container_old_name(const char *name, const char *id);

/* The role that a container's name shows. *name (caller frees): the balancer's name; name may be NULL. */
enum container_role container_role_of(const char *container_name, char **name);

#endif
