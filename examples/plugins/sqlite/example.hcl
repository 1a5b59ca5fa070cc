# What a shop's database says of its orders.
source "sqlite" "shop" {
  path = "/var/lib/shop/shop.db"

  query "shop_orders" {
    help = "Orders by state."
    sql  = "SELECT state, count(*) AS value FROM orders GROUP BY state"
  }

  query "shop_orders_amount_total" {
    help = "What was ordered, in euros."
    type = "counter"
    sql  = "SELECT sum(amount) AS value FROM orders"
  }
}
