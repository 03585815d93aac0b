"""The glossary as the console serves it."""

from explicate.sentences.glossary import glossary
from support.console import asked, running_console


async def test_words_come_whole_by_group_and_in_a_language() -> None:
    async with running_console("127.0.0.1:1") as url:
        whole = await asked(url, "/words.json", method="GET")
        method = await asked(url, "/words.json?group=method", method="GET")
        german = await asked(url, "/words.json?lang=de&group=method", method="GET")
    english = glossary("en")
    assert whole.json.keys() == english.keys()
    assert method.json == {"method": whole.json["method"]}
    assert method.json["method"]["lime"]["says"] == english["method"]["lime"].says
    assert (
        german.json["method"]["lime"]["says"] == glossary("de")["method"]["lime"].says != english["method"]["lime"].says
    )
