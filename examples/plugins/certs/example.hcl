# The certificates of this machine's services, to be renewed in time.
source "certs" "services" {
  files    = ["/etc/nginx/tls/*.pem", "/etc/kubernetes/pki/*.crt"]
  interval = "10m"
}

alert "CertificateEndsSoon" {
  expr = "certificate_not_after_timestamp_seconds - time() < 14 * 86400"
  annotations = {
    summary = "{{ $labels.path }} ends in {{ $value | humanizeDuration }}"
  }
}
