# What magpie plugin verify opens: a database that nobody has made.
source "sqlite" "verify" {
  path = "${env("VERIFY_DIR")}/shop.db"
  query "shop_orders" {
    sql = "SELECT count(*) AS value FROM orders"
  }
}
