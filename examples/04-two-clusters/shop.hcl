# The shop writes a lot: to be told at half of the quota is early enough.
alert "ShopHalfFull" {
  expr        = "etcd_status_db_size_bytes{cluster='shop'} > 0.5 * etcd_status_db_size_quota_bytes"
  for         = "10m"
  annotations = { summary = "{{ $labels.instance }} holds {{ $value | humanize1024 }}B" }
}

test "the shop's database grows" {
  series = <<-SERIES
    etcd_status_db_size_bytes{cluster='shop', instance='a'}       100 300x30
    etcd_status_db_size_quota_bytes{cluster='shop', instance='a'} 500x31
  SERIES

  expect "5m" {
    pending = ["ShopHalfFull"]
  }
  expect "15m" {
    firing = ["ShopHalfFull"]
    alert "ShopHalfFull" {
      annotations = { summary = "a holds 300B" }
    }
  }
}
