# The zone example.com of the service shop, written by `evenkeel render route53 --format terraform`.
# Note: failback: Route 53 knows no hold and no ramp: a recovered region has its whole share at once
# Note: dns.nameservers, hostmaster, negative_ttl, geoip, client_subnet and rate_limit are Route 53's own business
# Note: dns.failover_ttl: 15s: a record has one time to live in Route 53, that of dns.ttl
# Note: dns.latencies: Route 53 measures latency itself, to AWS regions
# Note: static.example.com: weights end at 255 in Route 53, so they are scaled: blue 950 is 255, green 50 is 13

terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 4.0" }
  }
}

data "aws_route53_zone" "zone" {
  name = "example.com"
}

resource "aws_route53_health_check" "taiwan" {
  type              = "HTTPS"
  fqdn              = "taiwan.api.example.com"
  port              = 443
  resource_path     = "/actuator/health/readiness"
  request_interval  = 30
  failure_threshold = 2
  measure_latency   = true
  enable_sni        = true
  tags              = { Name = "Taiwan Region Health Check", Region = "ap-east-2" }
}

resource "aws_route53_health_check" "japan" {
  type              = "HTTPS"
  fqdn              = "japan.api.example.com"
  port              = 443
  resource_path     = "/actuator/health/readiness"
  request_interval  = 30
  failure_threshold = 2
  measure_latency   = true
  enable_sni        = true
  tags              = { Name = "Japan Region Health Check", Region = "ap-northeast-1" }
}

resource "aws_route53_health_check" "orders" {
  type              = "HTTPS_STR_MATCH"
  fqdn              = "orders.example.com"
  port              = 443
  resource_path     = "/health"
  search_string     = "\"status\":\"UP\""
  request_interval  = 30
  failure_threshold = 3
  measure_latency   = true
  enable_sni        = true
  tags              = { Name = "orders" }
}

resource "aws_route53_health_check" "most" {
  type                   = "CALCULATED"
  child_healthchecks     = [aws_route53_health_check.taiwan.id, aws_route53_health_check.japan.id, aws_route53_health_check.orders.id]
  child_health_threshold = 2
  tags                   = { Name = "most" }
}

resource "aws_route53_record" "_others_api_example_com_taiwan_a" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "_others.api.example.com"
  type            = "A"
  set_identifier  = "taiwan"
  health_check_id = aws_route53_health_check.taiwan.id
  ttl             = 60
  records         = ["192.0.2.10"]

  weighted_routing_policy {
    weight = 60
  }
}

resource "aws_route53_record" "_others_api_example_com_japan_a" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "_others.api.example.com"
  type            = "A"
  set_identifier  = "japan"
  health_check_id = aws_route53_health_check.japan.id
  ttl             = 60
  records         = ["198.51.100.10"]

  weighted_routing_policy {
    weight = 40
  }
}

resource "aws_route53_record" "_others_api_example_com_taiwan_aaaa" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "_others.api.example.com"
  type            = "AAAA"
  set_identifier  = "taiwan"
  health_check_id = aws_route53_health_check.taiwan.id
  ttl             = 60
  records         = ["2001:db8::10"]

  weighted_routing_policy {
    weight = 60
  }
}

resource "aws_route53_record" "_others_api_example_com_japan_aaaa" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "_others.api.example.com"
  type            = "AAAA"
  set_identifier  = "japan"
  health_check_id = aws_route53_health_check.japan.id
  ttl             = 60
  records         = ["2001:db8:1::10"]

  weighted_routing_policy {
    weight = 40
  }
}

resource "aws_route53_record" "api_example_com_taiwan_a" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "api.example.com"
  type            = "A"
  set_identifier  = "taiwan"
  health_check_id = aws_route53_health_check.taiwan.id
  ttl             = 60
  records         = ["192.0.2.10"]

  geolocation_routing_policy {
    country = "TW"
  }
}

resource "aws_route53_record" "api_example_com_japan_a" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "api.example.com"
  type            = "A"
  set_identifier  = "japan"
  health_check_id = aws_route53_health_check.japan.id
  ttl             = 60
  records         = ["198.51.100.10"]

  geolocation_routing_policy {
    country = "JP"
  }
}

resource "aws_route53_record" "api_example_com_everyone_else_a" {
  zone_id        = data.aws_route53_zone.zone.zone_id
  name           = "api.example.com"
  type           = "A"
  set_identifier = "everyone else"
  depends_on     = [aws_route53_record._others_api_example_com_taiwan_a, aws_route53_record._others_api_example_com_japan_a]

  alias {
    name                   = "_others.api.example.com"
    zone_id                = data.aws_route53_zone.zone.zone_id
    evaluate_target_health = true
  }

  geolocation_routing_policy {
    country = "*"
  }
}

resource "aws_route53_record" "api_example_com_taiwan_aaaa" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "api.example.com"
  type            = "AAAA"
  set_identifier  = "taiwan"
  health_check_id = aws_route53_health_check.taiwan.id
  ttl             = 60
  records         = ["2001:db8::10"]

  geolocation_routing_policy {
    country = "TW"
  }
}

resource "aws_route53_record" "api_example_com_japan_aaaa" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "api.example.com"
  type            = "AAAA"
  set_identifier  = "japan"
  health_check_id = aws_route53_health_check.japan.id
  ttl             = 60
  records         = ["2001:db8:1::10"]

  geolocation_routing_policy {
    country = "JP"
  }
}

resource "aws_route53_record" "api_example_com_everyone_else_aaaa" {
  zone_id        = data.aws_route53_zone.zone.zone_id
  name           = "api.example.com"
  type           = "AAAA"
  set_identifier = "everyone else"
  depends_on     = [aws_route53_record._others_api_example_com_taiwan_aaaa, aws_route53_record._others_api_example_com_japan_aaaa]

  alias {
    name                   = "_others.api.example.com"
    zone_id                = data.aws_route53_zone.zone.zone_id
    evaluate_target_health = true
  }

  geolocation_routing_policy {
    country = "*"
  }
}

resource "aws_route53_record" "api-latency_example_com_taiwan_a" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "api-latency.example.com"
  type            = "A"
  set_identifier  = "taiwan"
  health_check_id = aws_route53_health_check.taiwan.id
  ttl             = 60
  records         = ["192.0.2.10"]

  latency_routing_policy {
    region = "ap-east-2"
  }
}

resource "aws_route53_record" "api-latency_example_com_japan_a" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "api-latency.example.com"
  type            = "A"
  set_identifier  = "japan"
  health_check_id = aws_route53_health_check.japan.id
  ttl             = 60
  records         = ["198.51.100.10"]

  latency_routing_policy {
    region = "ap-northeast-1"
  }
}

resource "aws_route53_record" "api-latency_example_com_taiwan_aaaa" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "api-latency.example.com"
  type            = "AAAA"
  set_identifier  = "taiwan"
  health_check_id = aws_route53_health_check.taiwan.id
  ttl             = 60
  records         = ["2001:db8::10"]

  latency_routing_policy {
    region = "ap-east-2"
  }
}

resource "aws_route53_record" "api-latency_example_com_japan_aaaa" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "api-latency.example.com"
  type            = "AAAA"
  set_identifier  = "japan"
  health_check_id = aws_route53_health_check.japan.id
  ttl             = 60
  records         = ["2001:db8:1::10"]

  latency_routing_policy {
    region = "ap-northeast-1"
  }
}

resource "aws_route53_record" "api-all_example_com_taiwan_a" {
  zone_id                          = data.aws_route53_zone.zone.zone_id
  name                             = "api-all.example.com"
  type                             = "A"
  set_identifier                   = "taiwan"
  health_check_id                  = aws_route53_health_check.taiwan.id
  multivalue_answer_routing_policy = true
  ttl                              = 60
  records                          = ["192.0.2.10"]
}

resource "aws_route53_record" "api-all_example_com_japan_a" {
  zone_id                          = data.aws_route53_zone.zone.zone_id
  name                             = "api-all.example.com"
  type                             = "A"
  set_identifier                   = "japan"
  health_check_id                  = aws_route53_health_check.japan.id
  multivalue_answer_routing_policy = true
  ttl                              = 60
  records                          = ["198.51.100.10"]
}

resource "aws_route53_record" "api-all_example_com_taiwan_aaaa" {
  zone_id                          = data.aws_route53_zone.zone.zone_id
  name                             = "api-all.example.com"
  type                             = "AAAA"
  set_identifier                   = "taiwan"
  health_check_id                  = aws_route53_health_check.taiwan.id
  multivalue_answer_routing_policy = true
  ttl                              = 60
  records                          = ["2001:db8::10"]
}

resource "aws_route53_record" "api-all_example_com_japan_aaaa" {
  zone_id                          = data.aws_route53_zone.zone.zone_id
  name                             = "api-all.example.com"
  type                             = "AAAA"
  set_identifier                   = "japan"
  health_check_id                  = aws_route53_health_check.japan.id
  multivalue_answer_routing_policy = true
  ttl                              = 60
  records                          = ["2001:db8:1::10"]
}

resource "aws_route53_record" "static_example_com_blue_a" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "static.example.com"
  type            = "A"
  set_identifier  = "blue"
  health_check_id = aws_route53_health_check.taiwan.id
  ttl             = 60
  records         = ["192.0.2.10"]

  weighted_routing_policy {
    weight = 255
  }
}

resource "aws_route53_record" "static_example_com_green_a" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "static.example.com"
  type            = "A"
  set_identifier  = "green"
  health_check_id = aws_route53_health_check.japan.id
  ttl             = 60
  records         = ["198.51.100.10"]

  weighted_routing_policy {
    weight = 13
  }
}

resource "aws_route53_record" "static_example_com_blue_aaaa" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "static.example.com"
  type            = "AAAA"
  set_identifier  = "blue"
  health_check_id = aws_route53_health_check.taiwan.id
  ttl             = 60
  records         = ["2001:db8::10"]

  weighted_routing_policy {
    weight = 255
  }
}

resource "aws_route53_record" "static_example_com_green_aaaa" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "static.example.com"
  type            = "AAAA"
  set_identifier  = "green"
  health_check_id = aws_route53_health_check.japan.id
  ttl             = 60
  records         = ["2001:db8:1::10"]

  weighted_routing_policy {
    weight = 13
  }
}

resource "aws_route53_record" "www_example_com_api_a" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "www.example.com"
  type            = "A"
  set_identifier  = "api"
  health_check_id = aws_route53_health_check.most.id
  depends_on      = [aws_route53_record.api_example_com_taiwan_a, aws_route53_record.api_example_com_japan_a, aws_route53_record.api_example_com_everyone_else_a]

  alias {
    name                   = "api.example.com"
    zone_id                = data.aws_route53_zone.zone.zone_id
    evaluate_target_health = true
  }

  failover_routing_policy {
    type = "PRIMARY"
  }
}

resource "aws_route53_record" "www_example_com_sorry_a" {
  zone_id        = data.aws_route53_zone.zone.zone_id
  name           = "www.example.com"
  type           = "A"
  set_identifier = "sorry"
  ttl            = 60
  records        = ["203.0.113.80"]

  failover_routing_policy {
    type = "SECONDARY"
  }
}

resource "aws_route53_record" "www_example_com_api_aaaa" {
  zone_id         = data.aws_route53_zone.zone.zone_id
  name            = "www.example.com"
  type            = "AAAA"
  set_identifier  = "api"
  health_check_id = aws_route53_health_check.most.id
  depends_on      = [aws_route53_record.api_example_com_taiwan_aaaa, aws_route53_record.api_example_com_japan_aaaa, aws_route53_record.api_example_com_everyone_else_aaaa]

  alias {
    name                   = "api.example.com"
    zone_id                = data.aws_route53_zone.zone.zone_id
    evaluate_target_health = true
  }

  failover_routing_policy {
    type = "PRIMARY"
  }
}

resource "aws_route53_record" "www_example_com_sorry_aaaa" {
  zone_id        = data.aws_route53_zone.zone.zone_id
  name           = "www.example.com"
  type           = "AAAA"
  set_identifier = "sorry"
  ttl            = 60
  records        = ["2001:db8:2::80"]

  failover_routing_policy {
    type = "SECONDARY"
  }
}

resource "aws_route53_record" "blog_example_com_cname" {
  zone_id = data.aws_route53_zone.zone.zone_id
  name    = "blog.example.com"
  type    = "CNAME"
  ttl     = 60
  records = ["shop.blog.example.net"]
}

resource "aws_route53_record" "example_com_txt" {
  zone_id = data.aws_route53_zone.zone.zone_id
  name    = "example.com"
  type    = "TXT"
  ttl     = 60
  records = ["v=spf1 -all"]
}
