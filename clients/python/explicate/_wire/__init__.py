"""What stands between the public client and protobuf messages; nothing here is public."""
