#!/usr/bin/env bash
# Makes the root of the image: the programs, the libraries that they load, and what
# says which they are and under which terms they come.
#
#   docker/collect-root.sh BUILD ROOT VERSION
#
# Fails where the programs are of another version.
set -euo pipefail
build=$1 root=$2 version=$3

install -D --strip --target-directory="$root/usr/bin" \
  "$build/server/groupnorm-server" "$build/client/cli/groupnorm"
for program in groupnorm-server groupnorm; do
  is=$("$root/usr/bin/$program" --version)
  if [[ $is != "$program $version" ]]; then
    echo "$program --version: '$is', expected '$program $version': ARG VERSION in" \
      "docker/Dockerfile is the version in CMakeLists.txt" >&2
    exit 1
  fi
done

# The paths in what ldd prints; the loader itself has no arrow before it.
mapfile -t libraries < <(ldd "$root"/usr/bin/* |
  sed -nE 's/^\t(.* => )?(\/[^ ]+) .*/\2/p' | sort -u)
cp --dereference --parents --target-directory="$root" "${libraries[@]}"

# Scanners of images look for packages in status.d where there is no dpkg.
install -d "$root/usr/share/doc" "$root/var/lib/dpkg/status.d" "$root/etc"
cp --dereference /etc/os-release "$root/etc"
for library in "${libraries[@]}"; do
  # /lib is a link to /usr/lib, and a package names its files by either.
  path=$(realpath "$library")
  owner=$(dpkg-query --search "$path" "${path#/usr}" 2>/dev/null || true)
  if [[ ! $owner ]]; then
    echo "$library: no Debian package has it, so its terms are not known" >&2
    exit 1
  fi
  echo "${owner%%:*}"
done | sort -u | while read -r package; do
  install -D --mode=644 --target-directory="$root/usr/share/doc/$package" \
    "/usr/share/doc/$package/copyright"
  dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
done
# Those that are compiled in, from headers.
for package in libcli11-dev nlohmann-json3-dev; do
  install -D --mode=644 --target-directory="$root/usr/share/doc/$package" \
    "/usr/share/doc/$package/copyright"
done
install -D --mode=644 --target-directory="$root/usr/share/doc/groupnorm" \
  LICENSE THIRD_PARTY_NOTICES.md

# Where `groupnorm` without --server has the socket of its own server.
install -d --mode=1777 "$root/tmp"
