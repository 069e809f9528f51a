"""What `zoo check` prints and ends with."""

import json

from tests.zoo.test_checking import changed


def test_the_exit_code_and_the_table_tell(dfml, zoo_copy):
    assert dfml("zoo", "check", zoo_copy).code == 0
    changed(zoo_copy / "001", lambda weights: weights["fc.weight"].zero_())
    called = dfml("zoo", "check", zoo_copy, "--json")
    told = json.loads(called.out)
    assert called.code == 1 and list(told["wrong"]) == ["001"] and told["usable"] == 3
    assert [row["id"] for row in told["rows"]] == ["000", "001", "002"]
