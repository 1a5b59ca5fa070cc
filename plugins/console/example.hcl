# The web page at http://127.0.0.1:9470/. It shows what the store holds and how the daemon is: without a store the charts
# stay empty, without a source "host" there is no machine to show.
service "console" "main" {}
