"""The gRPC surface: servicers, interceptor, error catalogue, protobuf to domain and back."""
