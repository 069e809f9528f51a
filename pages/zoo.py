"""Model zoo: which teachers there are, what they know and how good they are. Imports no torch."""

import streamlit as st

from dfml.ui.widgets.navigation import within_app
from dfml.ui.widgets.texts import one_line_errors
from dfml.ui.zoo.add_teachers import add_teachers
from dfml.ui.zoo.check_table import check_panel
from dfml.ui.zoo.choose_zoo import choose_zoo, open_listing
from dfml.ui.zoo.polluting import pollution_panel
from dfml.ui.zoo.similarity_map import similarity_panel
from dfml.ui.zoo.teacher_card import summary, teacher_card
from dfml.ui.zoo.teacher_table import found_teachers, teacher_table
from dfml.ui.zoo.train_zoo import building_panel
from dfml.ui.zoo.zoo_charts import zoo_charts

within_app()
st.title("Model zoo")
st.caption("A **teacher** is a trained classifier that we may question, but whose training images we do not have.")

reference = choose_zoo()
add_teachers(reference)
with one_line_errors(stop=True):
    zoo = open_listing(reference)

summary(zoo)
check_panel(zoo)
found = found_teachers(zoo)
left, right = st.columns([3, 2], gap="medium")
with left:
    chosen = teacher_table(zoo, found)
if chosen:
    with right:
        teacher_card(zoo, chosen)
    zoo_charts(zoo, found)
    similarity_panel(zoo, found, chosen)
building_panel()
pollution_panel(zoo)
