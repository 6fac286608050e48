#!/bin/sh
# Make two archives in a directory and print their digests: etcd.tar.gz, of the distribution's own
# programs in the layout of a release, and stand-in.tar.gz, whose etcd stands in for a version that
# is refused and can do nothing but say so.
set -eu
mkdir -p "$1"
cd "$1"
ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt-get -qq update
apt-get -qq install --download-only --no-install-recommends etcd-server etcd-client >&2
for package in /var/cache/apt/archives/etcd-server_*.deb /var/cache/apt/archives/etcd-client_*.deb; do
  dpkg-deb --extract "$package" package
done
mkdir -p etcd-release etcd-stand-in
cp package/usr/bin/etcd package/usr/bin/etcdctl etcd-release
printf '#!/bin/sh\necho "etcd Version: 3.5.1"\n' >etcd-stand-in/etcd
cp etcd-stand-in/etcd etcd-stand-in/etcdctl
chmod 0755 etcd-stand-in/*
tar -c etcd-release | gzip -1 >etcd.tar.gz
tar -czf stand-in.tar.gz etcd-stand-in
rm -r package etcd-release etcd-stand-in
sha256sum etcd.tar.gz stand-in.tar.gz
