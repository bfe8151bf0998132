/*
 * Names that daemon, client and hosts share. They are part of the interface
 * that other programs rely on: they keep their meaning.
 */
#ifndef APILB_NAMES_H
#define APILB_NAMES_H

#define APILB_DEFAULT_SOCKET "/run/apilb/apilbd.sock"
#define APILB_DEFAULT_SPEC_DIR "/etc/apilb.d"
#define APILB_DEFAULT_STATE_DIR "/var/lib/apilbd"
#define APILB_DEFAULT_SETTINGS "/etc/apilb/apilbd.yaml"
#define APILB_DEFAULT_OWNER "apilb"

/* Labels on every container that is ours. */
#define LABEL_OWNER "io.apilb.owner"
#define LABEL_SPEC "io.apilb.spec"
#define LABEL_INSTANCE "io.apilb.instance"
/* Where its HAProxy listens, as binds_text() gives it. */
#define LABEL_BINDS "io.apilb.binds"
#define LABEL_CONFIG_SHA256 "io.apilb.config-sha256"
#define LABEL_CONTAINER_SHA256 "io.apilb.container-sha256"
/* Label with the value "helper", on the temporary containers that carry files to a host. */
#define LABEL_ROLE "io.apilb.role"
#define ROLE_HELPER "helper"

#endif
