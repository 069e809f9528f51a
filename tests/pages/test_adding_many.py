"""Sources that are typed into the panel that adds teachers: none is left out unseen."""

from tests.pages.opening import open_page, texts


def test_more_lines_than_are_looked_at_are_refused(runs):
    app = open_page("zoo", add="true", **{"from": "path"})
    app.text_area(key="add_path").set_value("\n".join(f"/none/{number}.pth" for number in range(21)))
    app.button(key="add_look:path").click().run()
    assert not app.exception and "at most 20 at once" in texts(app)
