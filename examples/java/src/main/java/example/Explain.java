package example;

import dev.explicate.v1.Attribution;
import dev.explicate.v1.Bundle;
import dev.explicate.v1.Cell;
import dev.explicate.v1.Classification;
import dev.explicate.v1.ColumnSchema;
import dev.explicate.v1.ColumnType;
import dev.explicate.v1.ExplainOptions;
import dev.explicate.v1.ExplainRequest;
import dev.explicate.v1.ExplainResult;
import dev.explicate.v1.ExplainSpec;
import dev.explicate.v1.Explanation;
import dev.explicate.v1.Feature;
import dev.explicate.v1.GetModelRequest;
import dev.explicate.v1.GetModelResponse;
import dev.explicate.v1.InferenceServiceGrpc;
import dev.explicate.v1.InferenceServiceGrpc.InferenceServiceBlockingStub;
import dev.explicate.v1.Input;
import dev.explicate.v1.ModelRef;
import dev.explicate.v1.ModelServiceGrpc;
import dev.explicate.v1.Prediction;
import dev.explicate.v1.StreamExplainRequest;
import dev.explicate.v1.StreamExplainResponse;
import dev.explicate.v1.TabularInput;
import dev.explicate.v1.TextInput;
import com.google.protobuf.NullValue;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Asks an Explicate server what a model says of a text or a row, and why. See docs/languages.md.
 *
 * <pre>./build.sh &amp;&amp; build/explain --model food-reviews --text "Great soup, rude waiter." --seed 0</pre>
 */
public final class Explain {
  // Standard output as UTF-8, whatever the locale says: the words come back as they were written.
  private static final PrintStream OUT = utf8(FileDescriptor.out);
  private static final PrintStream ERR = utf8(FileDescriptor.err);

  private final Flags flags;
  private final ManagedChannel channel;
  private final Deadline deadline;

  private Explain(Flags flags, ManagedChannel channel) {
    this.flags = flags;
    this.channel = channel;
    this.deadline = Deadline.after(flags.timeoutMillis, TimeUnit.MILLISECONDS);
  }

  public static void main(String[] arguments) throws Exception {
    Flags flags = Flags.parse(arguments);
    if (flags == null) {
      ERR.println(Flags.USAGE);
      System.exit(2);
    }
    System.exit(run(flags));
  }

  private static int run(Flags flags) throws Exception {
    ManagedChannel channel = null;
    try {
      channel = flags.connection.open();
      show(new Explain(flags, channel).ask());
      return 0;
    } catch (StatusRuntimeException failed) {
      ERR.println(Failure.describe(failed));
    } catch (IOException | IllegalArgumentException | IllegalStateException wrong) { // not from a call, such as a file
      ERR.println(wrong.getMessage());
    } finally {
      if (channel != null) {
        channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
      }
    }
    return 1;
  }

  private ExplainResult ask() throws InterruptedException {
    GetModelResponse model = describe();
    ExplainSpec spec = ExplainSpec.newBuilder()
        .setModel(ModelRef.newBuilder().setModel(flags.model))
        .setInput(input(model.getBundle()))
        .setOptions(options())
        .build();
    InferenceServiceBlockingStub service = InferenceServiceGrpc.newBlockingStub(channel).withDeadline(deadline);
    return Failure.withRetries(deadline, () -> flags.stream ? streamed(service, spec) : unary(service, spec));
  }

  /** Asks GetModel, and says on stderr what the model is. */
  private GetModelResponse describe() throws InterruptedException {
    GetModelRequest request = GetModelRequest.newBuilder().setModel(flags.model).build();
    GetModelResponse model = Failure.withRetries(
        deadline, () -> ModelServiceGrpc.newBlockingStub(channel).withDeadline(deadline).getModel(request));
    ERR.printf("%s version %d, %s, reads %s, explained by %s%n", flags.model, model.getStatus().getVersion(),
        model.getStatus().getObjective(), model.getStatus().getInputKind(), String.join(", ", model.getMethodsList()));
    return model;
  }

  private ExplainOptions options() {
    ExplainOptions.Builder options = ExplainOptions.newBuilder().setMethod(flags.method).setSeed(flags.seed);
    // What is not set the server resolves. Setting 0 would ask for 0.
    if (flags.maxEvaluations != 0) {
      options.setMaxEvaluations(flags.maxEvaluations);
    }
    if (flags.topK != 0) {
      options.setTopK(flags.topK);
    }
    return options.build();
  }

  /** The text, or the row with each cell as the model's schema wants it. */
  private Input input(Bundle bundle) {
    if (flags.text != null) {
      return Input.newBuilder().setText(TextInput.newBuilder().setText(flags.text)).build();
    }
    Map<String, ColumnType> types = bundle.getTabular().getColumnsList().stream()
        .collect(Collectors.toMap(ColumnSchema::getName, ColumnSchema::getType));
    TabularInput.Builder row = TabularInput.newBuilder();
    flags.row.forEach((column, value) -> row.putCells(column, cell(column, value, types.get(column))));
    return Input.newBuilder().setTabular(row).build();
  }

  private static Cell cell(String column, String value, ColumnType type) {
    if (value.isEmpty()) {
      return Cell.newBuilder().setMissing(NullValue.NULL_VALUE).build();
    }
    if (type != ColumnType.COLUMN_TYPE_NUMBER) {
      return Cell.newBuilder().setCategory(value).build();
    }
    try {
      return Cell.newBuilder().setNumber(Double.parseDouble(value)).build();
    } catch (NumberFormatException wrong) {
      throw new IllegalArgumentException("the column " + column + " has numbers, and " + value + " is none", wrong);
    }
  }

  private static ExplainResult unary(InferenceServiceBlockingStub service, ExplainSpec spec) {
    return service.explain(ExplainRequest.newBuilder().setSpec(spec).build()).getResult();
  }

  /** The last answer of a stream; tells of the others on stderr. An error of the call comes from the iterator. */
  private static ExplainResult streamed(InferenceServiceBlockingStub service, ExplainSpec spec) {
    Iterator<StreamExplainResponse> answers =
        service.streamExplain(StreamExplainRequest.newBuilder().setSpec(spec).build());
    while (answers.hasNext()) {
      StreamExplainResponse answer = answers.next();
      if (answer.getFinal()) { // it has all features; one in between leaves them out if they are as before
        return answer.getResult();
      }
      Explanation soFar = answer.getResult().getExplanation();
      ERR.printf(Locale.ROOT, "%d evaluations, the widest interval is %.0f %% of the range%n",
          soFar.getEvaluations(), 100 * soFar.getQuality().getLargestIntervalRatio());
    }
    throw new IllegalStateException("the stream ended without its final answer");
  }

  /** Prints the prediction, and then what each word or column adds to it, the strongest first, with its interval. */
  private static void show(ExplainResult result) {
    OUT.println(outcome(result.getPrediction()));
    Explanation explanation = result.getExplanation();
    Attribution why = explanation.getAttributions(0); // one for each output: one, unless Target.all asks for more
    ERR.printf("why %s (%s after %d evaluations):%n",
        why.getClassLabel(), explanation.getStopReason(), explanation.getEvaluations());
    List<Integer> order = IntStream.range(0, explanation.getFeaturesCount()).boxed()
        .sorted(Comparator.comparingDouble((Integer i) -> -Math.abs(why.getValues(i))))
        .collect(Collectors.toList());
    for (int i : order) {
      OUT.printf(Locale.ROOT, "%+.6f [%+.6f, %+.6f] %s%n",
          why.getValues(i), why.getLower(i), why.getUpper(i), name(explanation.getFeatures(i)));
    }
  }

  private static String outcome(Prediction prediction) {
    switch (prediction.getOutcomeCase()) {
      case CLASSIFICATION:
        Classification answer = prediction.getClassification();
        double probability = answer.getScores(answer.getPredictedIndex()).getProbability();
        return String.format(Locale.ROOT, "%.6f %s", probability, answer.getPredictedLabel());
      case MULTI_LABEL:
        return String.join(", ", prediction.getMultiLabel().getPredictedLabelsList());
      default:
        return String.format(Locale.ROOT, "%.6f", prediction.getRegression().getValue());
    }
  }

  /** A word's spans say where it is: text.substring(span.getUtf16Start(), span.getUtf16End()). */
  private static String name(Feature feature) {
    return feature.hasColumn() ? feature.getColumn().getName() : feature.getText().getText();
  }

  private static PrintStream utf8(FileDescriptor stream) {
    return new PrintStream(new FileOutputStream(stream), true, StandardCharsets.UTF_8);
  }
}
