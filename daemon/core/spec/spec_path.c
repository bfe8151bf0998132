#include "daemon/core/spec/spec_path.h"

#include <fnmatch.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static const char boot[] = "which the host boots and runs from";
static const char login[] = "which decides who may log in";
static const char kernel[] = "which is the kernel's";
static const char start[] = "from which the host starts programs";
static const char set[] = "from which the host is set up";
static const char engine[] = "which is a container engine's";
static const char kubernetes[] = "which is Kubernetes'";
static const char own[] = "which is apilb's own";

/*
 * Directories, with everything below them. The first row that matches counts. A row may have the
 * wildcards of fnmatch(3), which do not match slashes. is: NULL: a config may be there.
 */
static const struct {
	const char *place;
	const char *is;
} places[] = {
	{"/usr/local/etc", NULL},
	{"/bin", boot},
	{"/boot", boot},
	{"/efi", boot},
	{"/lib", boot},
	{"/lib32", boot},
	{"/lib64", boot},
	{"/libx32", boot},
	{"/sbin", boot},
	{"/usr", boot},
	{"/dev", kernel},
	{"/proc", kernel},
	{"/sys", kernel},
	{"/root/.ssh", login},
	{"/home/*/.ssh", login},
	{"/etc/pam.d", login},
	{"/etc/polkit-1", login},
	{"/etc/security", login},
	{"/etc/ssh", login},
	{"/etc/sssd", login},
	{"/etc/sudoers.d", login},
	{"/etc/cron.*", start},
	{"/etc/init.d", start},
	{"/etc/profile.d", start},
	{"/etc/rc?.d", start},
	{"/etc/systemd", start},
	{"/run/systemd", start},
	{"/var/spool", start},
	{"/etc/alternatives", set},
	{"/etc/apparmor.d", set},
	{"/etc/apt", set},
	{"/etc/ca-certificates", set},
	{"/etc/dbus-1", set},
	{"/etc/default", set},
	{"/etc/dpkg", set},
	{"/etc/grub.d", set},
	{"/etc/initramfs-tools", set},
	{"/etc/iproute2", set},
	{"/etc/ld.so.conf.d", set},
	{"/etc/modprobe.d", set},
	{"/etc/modules-load.d", set},
	{"/etc/netplan", set},
	{"/etc/network", set},
	{"/etc/NetworkManager", set},
	{"/etc/pki", set},
	{"/etc/selinux", set},
	{"/etc/skel", set},
	{"/etc/ssl", set},
	{"/etc/sysctl.d", set},
	{"/etc/sysconfig", set},
	{"/etc/tmpfiles.d", set},
	{"/etc/udev", set},
	{"/etc/yum.repos.d", set},
	{"/var/lib/dpkg", set},
	{"/var/lib/rpm", set},
	{"/etc/containerd", engine},
	{"/etc/containers", engine},
	{"/etc/docker", engine},
	{"/run/containerd", engine},
	{"/run/docker", engine},
	{"/var/lib/containerd", engine},
	{"/var/lib/containers", engine},
	{"/var/lib/docker", engine},
	{"/etc/cni", kubernetes},
	{"/etc/kubernetes/manifests", kubernetes},
	{"/etc/kubernetes/pki", kubernetes},
	{"/var/lib/etcd", kubernetes},
	{"/var/lib/kubelet", kubernetes},
	{"/etc/apilb", own},
	{"/etc/apilb.d", own},
	{"/var/lib/apilb", own},
	{"/var/lib/apilbd", own},
};

/* Directly in / or /etc, only such a name shows that the file is no part of the system. */
static bool is_named_as_config(const char *path)
{
	return fnmatch("*.cfg", path, 0) == 0;
}

/*
 * The length of the path's beginning that matches the place; 0: the path is neither the place nor
 * in it.
 */
static size_t match(const char *path, const char *place)
{
	char head[64];
	const char *end = path;

	/* Take as many parts of the path as the place has. */
	for (const char *p = place; *p; p++)
		if (*p == '/' && *end)
			end += 1 + strcspn(end + 1, "/");
	if ((size_t)(end - path) >= sizeof(head))
		return 0;
	memcpy(head, path, end - path);
	head[end - path] = '\0';
	return fnmatch(place, head, FNM_PATHNAME) == 0 ? (size_t)(end - path) : 0;
}

const char *spec_path_objection(const char *path, const char **place, int *len)
{
	const char *slash = strrchr(path, '/');

	*place = path;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		*len = (int)match(path, places[i].place);
		if (*len)
			return places[i].is;
	}
	*len = slash == path ? 1 : (int)(slash - path);
	if ((slash == path || fnmatch("/etc/*", path, FNM_PATHNAME) == 0) && !is_named_as_config(path))
		return "unless its name ends in \".cfg\"";
	return NULL;
}
