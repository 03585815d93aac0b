"""What lies between the public client and protobuf messages; nothing here is public."""
