#!/usr/bin/env bash
# What systemd and Kubernetes say of the files in deploy/: units are verified and their exposure is bounded;
# kustomizations are built and every resource is held against Kubernetes' own schemas. What cannot be checked
# on this machine is said with the reason. (What the files must have in common with their topology files is
# tested by `cargo test -p evenkeel-config --test deploy`.)
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# systemd's exposure score times ten: 0 is none, 100 all. What is left of it is the network, which is their
# business, and port 53 or 80.
most_exposed=20
# The schemas of Kubernetes, from the oldest that has every field in use.
kubernetes_validate=1.37.0
kubernetes=(1.29 1.37)

work="$(mktemp -d "$TOOLS/deploy.XXXXXX")"
trap 'rm -rf "$work"' EXIT

units() {
  local unit said
  # Their programs are not installed here: anything that can be executed stands for them.
  mkdir "$work/bin"
  ln -s "$(type -P true)" "$work/bin/envoy"
  ln -s "$(type -P true)" "$work/bin/evenkeel"
  for unit in deploy/systemd/*.service; do
    sed "s#/usr/local/bin/#$work/bin/#g" "$unit" >"$work/${unit##*/}"
  done
  # An unknown key is a remark and no failure, so every remark counts.
  if ! said="$(systemd-analyze verify --man=no "$work"/*.service 2>&1)" || [ -n "$said" ]; then
    die "deploy/systemd: ${said//$work\//}"
  fi
  for unit in deploy/systemd/*.service; do
    systemd-analyze security --offline=true --threshold="$most_exposed" --no-pager "$unit" >"$work/exposure" ||
      die "$unit is exposed more than $most_exposed (times ten): $(tail -n 1 "$work/exposure")"
  done
  systemd-sysusers --dry-run "$PWD/deploy/systemd/sysusers.conf" >/dev/null 2>&1 || die "deploy/systemd/sysusers.conf is refused"
  echo "systemd units: verified"
}

# build FOLDER: what a kustomization amounts to.
build() {
  if have kustomize; then kustomize build "$1"; else kubectl kustomize "$1"; fi
}

validator() {
  local venv="$TOOLS/kubernetes"
  validate="$venv/bin/kubernetes-validate"
  [ "$("$validate" --version 2>/dev/null)" = "$kubernetes_validate" ] && return
  rm -rf "$venv"
  have python3 && python3 -m venv "$venv" >"$TOOLS/kubernetes.log" 2>&1 &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==$kubernetes_validate" \
      >>"$TOOLS/kubernetes.log" 2>&1 </dev/null
}

manifests() {
  local overlay version resources=() file
  if have kustomize || { have kubectl && kubectl kustomize --help >/dev/null 2>&1; }; then
    for overlay in deploy/kubernetes/overlays/*/; do
      overlay="$(basename "$overlay")"
      build "deploy/kubernetes/overlays/$overlay" >"$work/$overlay.yaml" || die "deploy/kubernetes/overlays/$overlay cannot be built"
      resources+=("$work/$overlay.yaml")
    done
    echo "kustomizations: built"
  else
    echo "skipped: building the kustomizations (neither kustomize nor kubectl is installed)"
    for file in deploy/kubernetes/*/*.yaml; do
      case "$file" in */kustomization.yaml | */topology/evenkeel.yaml) ;; *) resources+=("$file") ;; esac
    done
  fi
  if ! validator; then
    echo "skipped: Kubernetes' schemas (kubernetes-validate cannot be installed: see .tools/kubernetes.log)"
    return
  fi
  for version in "${kubernetes[@]}"; do
    "$validate" --quiet --strict -k "$version" "${resources[@]}" >"$work/said" 2>&1 ||
      die "Kubernetes $version refuses: $(cat "$work/said")"
  done
  echo "Kubernetes' resources: valid by the schemas of ${kubernetes[*]}"
}

if have systemd-analyze && have systemd-sysusers; then
  units
else
  echo "skipped: systemd units (systemd-analyze is not installed; get it with: apt-get install systemd)"
fi
manifests
