package example;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.ResourceInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.Deadline;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** What an Explicate server says of a call that failed, in the details of its status. */
final class Failure {
  private Failure() {}

  /** What is wrong, in which field, and what to do. An error that gRPC itself made, or a proxy, has no details. */
  static String describe(StatusRuntimeException failed) {
    io.grpc.Status status = failed.getStatus();
    List<String> told = new ArrayList<>();
    told.add(status.getCode() + ": " + status.getDescription());
    if (details(failed).isEmpty()) {
      told.add(hint(status.getCode()));
    }
    for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) { // why there is no connection
      told.add("  " + cause.getMessage());
    }
    for (Any detail : details(failed)) {
      tell(detail, told);
    }
    return String.join("\n", told);
  }

  /** What to do about an error that did not come from an Explicate server. */
  private static String hint(io.grpc.Status.Code code) {
    switch (code) {
      case DEADLINE_EXCEEDED:
        return "  no answer came in time: give it a longer --timeout, or see whether the server runs";
      case UNAVAILABLE:
        return "  no server can be talked to there: is the address right, does it run, and does it use TLS as you do?";
      default:
        return "  gRPC or a proxy says so, not an Explicate server";
    }
  }

  private static void tell(Any detail, List<String> told) {
    ErrorInfo info = unpacked(detail, ErrorInfo.class); // always there; a reason is what a program can branch on
    BadRequest bad = unpacked(detail, BadRequest.class);
    ResourceInfo resource = unpacked(detail, ResourceInfo.class);
    RetryInfo retry = unpacked(detail, RetryInfo.class);
    RequestInfo request = unpacked(detail, RequestInfo.class);
    if (info != null) {
      told.add("  reason: " + info.getReason());
    } else if (bad != null) {
      bad.getFieldViolationsList().forEach(
          violation -> told.add("  field " + violation.getField() + ": " + violation.getDescription()));
    } else if (resource != null) {
      told.add("  there is no " + resource.getResourceType() + " " + resource.getResourceName());
    } else if (retry != null) {
      told.add("  it may work again in " + millis(retry) + " ms");
    } else if (request != null) {
      told.add("  the server's log knows it as " + request.getRequestId());
    }
  }

  /**
   * Asks again as long as the server says when to, and the deadline leaves time for it. A call that changes nothing,
   * such as those of this program, may always be asked again.
   */
  static <T> T withRetries(Deadline deadline, Supplier<T> call) throws InterruptedException {
    while (true) {
      try {
        return call.get();
      } catch (StatusRuntimeException failed) {
        OptionalLong wait = retryMillis(failed);
        if (wait.isEmpty() || deadline.timeRemaining(TimeUnit.MILLISECONDS) < wait.getAsLong()) {
          throw failed;
        }
        Thread.sleep(wait.getAsLong());
      }
    }
  }

  /** What RetryInfo says: the server is full, or still loads its models. */
  private static OptionalLong retryMillis(StatusRuntimeException failed) {
    for (Any detail : details(failed)) {
      RetryInfo retry = unpacked(detail, RetryInfo.class);
      if (retry != null) {
        return OptionalLong.of(millis(retry));
      }
    }
    return OptionalLong.empty();
  }

  private static long millis(RetryInfo retry) {
    Duration delay = retry.getRetryDelay();
    return TimeUnit.SECONDS.toMillis(delay.getSeconds()) + TimeUnit.NANOSECONDS.toMillis(delay.getNanos());
  }

  private static List<Any> details(StatusRuntimeException failed) {
    Status status = StatusProto.fromThrowable(failed);
    return status == null ? List.of() : status.getDetailsList();
  }

  private static <T extends com.google.protobuf.Message> T unpacked(Any detail, Class<T> kind) {
    try {
      return detail.is(kind) ? detail.unpack(kind) : null;
    } catch (InvalidProtocolBufferException broken) {
      return null; // not from our server
    }
  }
}
