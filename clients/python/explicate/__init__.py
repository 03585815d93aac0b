"""Client for Explicate servers: predictions and the reasons for them.

    import explicate

    with explicate.Client("127.0.0.1:8500") as client:
        result = client.explain("reviews", "Great soup, slow service.")
        for word in result.explanation.top(3):
            print(word.feature.text, word.value, word.lower, word.upper)

`explicate.Client` and `explicate.AsyncClient` answer with the frozen dataclasses of `explicate.results` and raise the
exceptions of `explicate.errors`. Names are imported at first use, so that `import explicate` costs nothing.
"""
