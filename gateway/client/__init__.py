"""The city's side: what a system or officer uses to talk to the gateway."""
