package example;

import java.util.LinkedHashMap;
import java.util.Map;

/** What the command line asks for. */
final class Flags {
  static final String USAGE = String.join("\n",
      "Explains one prediction. The token, if any, is read from EXPLICATE_TOKEN.",
      "  --server ADDRESS      the server's address (127.0.0.1:8500)",
      "  --tls                 encrypt, and trust the usual authorities",
      "  --ca FILE             encrypt, and trust the authorities in this PEM file",
      "  --model NAME          the model's name",
      "  --text TEXT           the text that is explained",
      "  --row COLUMN=VALUE    of the row that is explained, once for each column; no value: missing",
      "  --method METHOD       the explanation method (auto)",
      "  --seed N              seed of all random choices: same seed, same answer (0)",
      "  --max-evaluations N   at most so many evaluations",
      "  --top-k N             stop once the strongest so many are certain",
      "  --stream              show the estimates while they get better",
      "  --timeout SECONDS     the deadline of it all (30)",
      "give --model, and either --text or --row");

  final Connection connection = new Connection();
  final Map<String, String> row = new LinkedHashMap<>();
  String model;
  String text;
  String method = "auto";
  int seed; // uint32 in the protos: Java keeps its bits in an int, Integer.parseUnsignedInt reads all of them
  int maxEvaluations;
  int topK;
  boolean stream;
  long timeoutMillis = 30_000;

  /** Null for a command line that makes no sense. */
  static Flags parse(String[] arguments) {
    Flags flags = new Flags();
    try {
      for (int i = 0; i < arguments.length; i++) {
        switch (arguments[i]) {
          case "--tls": flags.connection.tls = true; break;
          case "--stream": flags.stream = true; break;
          default: flags.set(arguments[i], arguments[++i]);
        }
      }
    } catch (IndexOutOfBoundsException | IllegalArgumentException wrong) {
      return null;
    }
    return flags.model == null || (flags.text == null) == flags.row.isEmpty() ? null : flags;
  }

  private void set(String flag, String value) {
    switch (flag) {
      case "--server": connection.server = value; break;
      case "--ca": connection.ca = value; break;
      case "--model": model = value; break;
      case "--text": text = value; break;
      case "--row": row.put(value.substring(0, value.indexOf('=')), value.substring(value.indexOf('=') + 1)); break;
      case "--method": method = value; break;
      case "--seed": seed = Integer.parseUnsignedInt(value); break;
      case "--max-evaluations": maxEvaluations = Integer.parseInt(value); break;
      case "--top-k": topK = Integer.parseInt(value); break;
      case "--timeout": timeoutMillis = Math.round(1000 * Double.parseDouble(value)); break;
      default: throw new IllegalArgumentException(flag);
    }
  }
}
