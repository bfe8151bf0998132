/* The grammar of a spec as tables: spec_fields.h says what a row means. */
#ifndef APILB_CORE_SPEC_SCHEMA_H
#define APILB_CORE_SPEC_SCHEMA_H

#include "daemon/core/spec/spec_fields.h"

extern const struct spec_fields spec_document_fields;    /* checked only */
extern const struct spec_fields spec_instance_fields;    /* struct spec_instance */
extern const struct spec_fields spec_state_entry_fields; /* struct spec_state_entry */
extern const struct spec_fields spec_rollout_fields;     /* struct rollout_settings */
extern const struct spec_fields spec_ssh_fields;         /* struct ssh_settings */
extern const struct spec_fields spec_host_fields;        /* struct spec_host, as the store keeps it */

#endif
