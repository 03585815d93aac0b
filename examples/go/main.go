// A program that asks an Explicate server what a model says of a text or a row, and why. See docs/languages.md.
//
//	./build.sh && build/explain -model food-reviews -text "Great soup, rude waiter." -seed 0
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	explicate "explicate.dev/explicate/v1"
)

// row is the value of the flag -row, which may be given many times: column=value.
type row map[string]string

func (r row) String() string { return fmt.Sprint(map[string]string(r)) }

func (r row) Set(cell string) error {
	column, value, found := strings.Cut(cell, "=")
	if !found {
		return fmt.Errorf("write column=value")
	}
	r[column] = value
	return nil
}

// asked is what the flags ask for.
type asked struct {
	connection  Connection
	model, text string
	row         row
	method      string
	seed        uint64
	top         uint
	evaluations int
	stream      bool
	timeout     float64
}

func flags() asked {
	a := asked{row: row{}, connection: Connection{Token: strings.TrimSpace(os.Getenv("EXPLICATE_TOKEN"))}}
	flag.StringVar(&a.connection.Server, "server", "127.0.0.1:8500", "the server's address")
	flag.BoolVar(&a.connection.TLS, "tls", false, "encrypt, and trust the usual authorities")
	flag.StringVar(&a.connection.CA, "ca", "", "encrypt, and trust the authorities in this PEM file")
	flag.StringVar(&a.model, "model", "", "the model's name")
	flag.StringVar(&a.text, "text", "", "the text that is explained")
	flag.Var(a.row, "row", "a `column=value` of the row that is explained, once for each column; no value: missing")
	flag.StringVar(&a.method, "method", "auto", "the explanation method")
	flag.Func("seed", "seed of all random choices: same seed, same answer (default 0)", func(value string) (err error) {
		a.seed, err = strconv.ParseUint(value, 10, 32)
		return err
	})
	flag.IntVar(&a.evaluations, "max-evaluations", 0, "at most so many evaluations; 0: the server's default")
	flag.UintVar(&a.top, "top-k", 0, "stop once the strongest so many are certain; 0: do not")
	flag.BoolVar(&a.stream, "stream", false, "show the estimates while they get better")
	flag.Float64Var(&a.timeout, "timeout", 30, "the deadline of it all, in seconds")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Explains one prediction. The token, if any, is read from EXPLICATE_TOKEN.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if a.model == "" || (a.text == "") == (len(a.row) == 0) || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "give --model, and either --text or --row; --help says more")
		os.Exit(2)
	}
	return a
}

func main() {
	a := flags()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(a.timeout*float64(time.Second)))
	defer cancel()
	if err := explain(ctx, a); err != nil {
		fmt.Fprintln(os.Stderr, Describe(err))
		os.Exit(1)
	}
}

func explain(ctx context.Context, a asked) error {
	channel, err := a.connection.Open()
	if err != nil {
		return err
	}
	defer channel.Close()
	model, err := describe(ctx, channel, a.model)
	if err != nil {
		return err
	}
	input, err := inputFor(model.Bundle, a)
	if err != nil {
		return err
	}
	spec := &explicate.ExplainSpec{Model: &explicate.ModelRef{Model: a.model}, Input: input, Options: optionsFor(a)}
	ask := unary
	if a.stream {
		ask = streamed
	}
	result, err := ask(ctx, explicate.NewInferenceServiceClient(channel), spec)
	if err != nil {
		return err
	}
	show(result)
	return nil
}

// describe asks GetModel, and says on stderr what the model is.
func describe(ctx context.Context, channel *grpc.ClientConn, name string) (model *explicate.GetModelResponse, err error) {
	models := explicate.NewModelServiceClient(channel)
	err = WithRetries(ctx, func() error {
		model, err = models.GetModel(ctx, &explicate.GetModelRequest{Model: name})
		return err
	})
	if err == nil {
		fmt.Fprintf(os.Stderr, "%s version %d, %s, reads %s, explained by %s\n", name, model.Status.Version,
			model.Status.Objective, model.Status.InputKind, strings.Join(model.Methods, ", "))
	}
	return model, err
}

func optionsFor(a asked) *explicate.ExplainOptions {
	seed := uint32(a.seed)
	options := &explicate.ExplainOptions{Method: &a.method, Seed: &seed}
	// What is not set stays nil: the server resolves it. A pointer to 0 would ask for 0.
	if a.evaluations != 0 {
		most := int32(a.evaluations)
		options.MaxEvaluations = &most
	}
	if a.top != 0 {
		top := int32(a.top)
		options.TopK = &top
	}
	return options
}

// inputFor is the text, or the row with each cell as the model's schema wants it.
func inputFor(bundle *explicate.Bundle, a asked) (*explicate.Input, error) {
	if a.text != "" {
		return &explicate.Input{Kind: &explicate.Input_Text{Text: &explicate.TextInput{Text: a.text}}}, nil
	}
	numbers := map[string]bool{}
	for _, column := range bundle.GetTabular().GetColumns() {
		numbers[column.Name] = column.Type == explicate.ColumnType_COLUMN_TYPE_NUMBER
	}
	cells := map[string]*explicate.Cell{}
	for column, value := range a.row {
		cell, err := cellFor(value, numbers[column])
		if err != nil {
			return nil, fmt.Errorf("the column %s has numbers: %w", column, err)
		}
		cells[column] = cell
	}
	return &explicate.Input{Kind: &explicate.Input_Tabular{Tabular: &explicate.TabularInput{Cells: cells}}}, nil
}

func cellFor(value string, number bool) (*explicate.Cell, error) {
	switch {
	case value == "":
		return &explicate.Cell{Kind: &explicate.Cell_Missing{Missing: structpb.NullValue_NULL_VALUE}}, nil
	case number:
		parsed, err := strconv.ParseFloat(value, 64)
		return &explicate.Cell{Kind: &explicate.Cell_Number{Number: parsed}}, err
	default:
		return &explicate.Cell{Kind: &explicate.Cell_Category{Category: value}}, nil
	}
}

func unary(
	ctx context.Context, service explicate.InferenceServiceClient, spec *explicate.ExplainSpec,
) (result *explicate.ExplainResult, err error) {
	err = WithRetries(ctx, func() error {
		answer, err := service.Explain(ctx, &explicate.ExplainRequest{Spec: spec})
		result = answer.GetResult()
		return err
	})
	return result, err
}

// streamed returns the last answer of a stream, and tells of the others on stderr.
func streamed(
	ctx context.Context, service explicate.InferenceServiceClient, spec *explicate.ExplainSpec,
) (result *explicate.ExplainResult, err error) {
	err = WithRetries(ctx, func() error {
		answers, err := service.StreamExplain(ctx, &explicate.StreamExplainRequest{Spec: spec})
		if err != nil {
			return err
		}
		for {
			answer, err := answers.Recv() // an error of the call comes here
			if err == io.EOF {
				return errors.New("the stream ended without its final answer")
			} else if err != nil {
				return err
			}
			if answer.Final { // it has all features; one in between leaves them out if they are as before
				result = answer.Result
				return nil
			}
			fmt.Fprintf(os.Stderr, "%d evaluations, the widest interval is %.0f %% of the range\n",
				answer.Result.Explanation.Evaluations, 100*answer.Result.Explanation.Quality.GetLargestIntervalRatio())
		}
	})
	return result, err
}

// show prints the prediction, and then what each word or column adds to it, the strongest first, with its interval.
func show(result *explicate.ExplainResult) {
	fmt.Println(outcome(result.Prediction))
	explanation := result.Explanation
	fmt.Fprintf(os.Stderr, "why %s (%s after %d evaluations):\n", explanation.Attributions[0].ClassLabel,
		explanation.StopReason, explanation.Evaluations)
	attribution := explanation.Attributions[0] // one for each explained output: one, unless Target.all asks for more
	order := make([]int, len(explanation.Features))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool {
		return math.Abs(attribution.Values[order[i]]) > math.Abs(attribution.Values[order[j]])
	})
	for _, i := range order {
		fmt.Printf("%+.6f [%+.6f, %+.6f] %s\n",
			attribution.Values[i], attribution.Lower[i], attribution.Upper[i], nameOf(explanation.Features[i]))
	}
}

func outcome(prediction *explicate.Prediction) string {
	switch outcome := prediction.Outcome.(type) {
	case *explicate.Prediction_Classification:
		answer := outcome.Classification
		return fmt.Sprintf("%.6f %s", answer.Scores[answer.PredictedIndex].Probability, answer.PredictedLabel)
	case *explicate.Prediction_MultiLabel:
		return strings.Join(outcome.MultiLabel.PredictedLabels, ", ")
	default:
		return fmt.Sprintf("%.6f", prediction.GetRegression().GetValue())
	}
}

func nameOf(feature *explicate.Feature) string {
	if column := feature.GetColumn(); column != nil {
		return column.Name
	}
	return feature.GetText().GetText() // its spans say where it is: Start and End in []rune(text)
}
