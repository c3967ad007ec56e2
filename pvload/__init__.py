"""pvload: loads and soaks a gRPC service that streams frames, and says whether its stream is healthy."""
