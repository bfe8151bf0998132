/* The types of rows in the grammar. */
#ifndef APILB_CORE_SPEC_TYPES_H
#define APILB_CORE_SPEC_TYPES_H

#include "daemon/core/spec/spec_fields.h"

/* Types with a member. */
extern const struct spec_type type_image;
extern const struct spec_type type_container_name;
extern const struct spec_type type_container_id;
extern const struct spec_type type_config_path;
extern const struct spec_type type_servers;
extern const struct spec_type type_binds;
extern const struct spec_type type_address;
extern const struct spec_type type_port;
extern const struct spec_type type_user;
extern const struct spec_type type_password;
extern const struct spec_type type_private_key;
extern const struct spec_type type_file;
extern const struct spec_type type_duration;
extern const struct spec_type type_haproxy_time;
extern const struct spec_type type_host_key;
extern const struct spec_type type_host_key_checking;
extern const struct spec_type type_engine;
extern const struct spec_type type_count;
extern const struct spec_type type_share;
extern const struct spec_type type_delay;
extern const struct spec_type type_on_failure;
extern const struct spec_type type_check_path;
extern const struct spec_type type_check_count;
extern const struct spec_type type_statuses;
extern const struct spec_type type_certificates;
extern const struct spec_type type_server_name;
extern const struct spec_type type_flag;
extern const struct spec_type type_max_connections;
extern const struct spec_type type_balance;
extern const struct spec_type type_extra_lines;
extern const struct spec_type type_group;
extern const struct spec_type type_pointer;

/* Types that are checked only. */
extern const struct spec_type type_any_text;
extern const struct spec_type type_texts;
extern const struct spec_type type_bool;
extern const struct spec_type type_int;
extern const struct spec_type type_map;
extern const struct spec_type type_maps;
extern const struct spec_type type_text_map;
extern const struct spec_type type_map_map;

#endif
