variable "daemons" {
  description = "The daemons to watch: addresses of their HTTP, by the name of the place"
  type        = map(list(string))
}

variable "lag" {
  description = "For how many seconds a sink may take nothing"
  type        = number
  default     = 60
  validation {
    condition     = var.lag >= 10
    error_message = "A lag of less than 10 seconds is ordinary."
  }
}

variable "urgent" {
  description = "Notifiers of what loses samples, beside the route"
  type        = references
  default     = []
}
