package example;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.util.concurrent.TimeUnit;

/** Says where a server is and how to reach it. */
final class Connection {
  /** Of an answer, as the server has it: gRPC's own 4 MiB are too few for the segments of a large image. */
  private static final int MOST_BYTES = 16 << 20;

  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  String server = "127.0.0.1:8500";
  boolean tls;
  String ca;
  String token = System.getenv().getOrDefault("EXPLICATE_TOKEN", "").strip();

  /** Makes a channel. It connects with the first call, whose error then says what is wrong. */
  ManagedChannel open() throws IOException {
    ManagedChannelBuilder<?> builder = Grpc.newChannelBuilder(server, credentials())
        .maxInboundMessageSize(MOST_BYTES)
        // Finds out that the server is gone although nobody said so. More often than every 10 s is abuse.
        .keepAliveTime(30, TimeUnit.SECONDS);
    if (!token.isEmpty()) {
      if (!tls && ca == null && !isLocal()) {
        throw new IllegalArgumentException("a token is not sent to " + server + " in plain text; use --tls or --ca");
      }
      Metadata headers = new Metadata();
      headers.put(AUTHORIZATION, "Bearer " + token);
      builder.intercept(MetadataUtils.newAttachHeadersInterceptor(headers));
    }
    return builder.build();
  }

  private ChannelCredentials credentials() throws IOException {
    if (ca != null) {
      return TlsChannelCredentials.newBuilder().trustManager(new File(ca)).build();
    }
    return tls ? TlsChannelCredentials.create() : InsecureChannelCredentials.create();
  }

  private boolean isLocal() {
    String host = server.substring(0, Math.max(server.lastIndexOf(':'), 0));
    return host.equals("localhost") || host.equals("[::1]") || host.matches("127(\\.\\d{1,3}){3}");
  }
}
