#!/usr/bin/env bash
# Sees to the system libraries that Qt needs on Linux, and to the virtual screen that the tests run on.
#   scripts/system_libraries.sh window    what a window needs
#   scripts/system_libraries.sh tests     and Xvfb
# Installs what is missing where it may (root, or sudo without a password, on Debian and its kin). Otherwise prints
# the exact command and ends with status 1.
set -euo pipefail

[ "$(uname -s)" = Linux ] || exit 0
PATH="$PATH:/usr/sbin:/sbin"

known="$(ldconfig -p 2>/dev/null || true)"
missing=()
need() {
    case "$known" in *"$1"*) ;; *) missing+=("$2") ;; esac
}
need libEGL.so.1 libegl1
need libGL.so.1 libgl1
need libOpenGL.so.0 libopengl0
need libX11-xcb.so.1 libx11-xcb1
need libdbus-1.so.3 libdbus-1-3
need libfontconfig.so.1 libfontconfig1
need libglib-2.0.so.0 libglib2.0-0
need libxcb-cursor.so.0 libxcb-cursor0
need libxcb-icccm.so.4 libxcb-icccm4
need libxcb-image.so.0 libxcb-image0
need libxcb-keysyms.so.1 libxcb-keysyms1
need libxcb-randr.so.0 libxcb-randr0
need libxcb-render-util.so.0 libxcb-render-util0
need libxcb-shape.so.0 libxcb-shape0
need libxcb-xkb.so.1 libxcb-xkb1
need libxkbcommon-x11.so.0 libxkbcommon-x11-0
renderers="$(compgen -G '/usr/lib*/dri/swrast_dri.so' || compgen -G '/usr/lib/*/dri/swrast_dri.so' ||
    compgen -G '/usr/lib*/libgallium-*.so' || compgen -G '/usr/lib/*/libgallium-*.so' || true)"
[ -n "$renderers" ] || missing+=(libgl1-mesa-dri)
if [ "${1:-window}" = tests ]; then
    command -v Xvfb >/dev/null || missing+=(xvfb)
    command -v xauth >/dev/null || missing+=(xauth)
fi
[ ${#missing[@]} -gt 0 ] || exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null; then
    echo "These system libraries are missing, under the names that Debian gives them: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n "
else
    echo "System libraries are missing. Please run:  sudo apt-get update && sudo $install" >&2
    exit 1
fi
echo "Installing system libraries: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
if ! { ${as_root}apt-get update -qq && ${as_root}${install} -qq; } >/dev/null; then
    echo "That failed. Please run:  sudo apt-get update && sudo $install" >&2
    exit 1
fi
