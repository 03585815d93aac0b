"""The gateway: every gRPC method as HTTP, in the Connect protocol, so that browsers and curl can call it."""
