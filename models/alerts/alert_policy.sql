{{ alert_policies_of("select * from " ~ ref("alert_policies")) }}
