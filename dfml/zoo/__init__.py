"""Teachers and zoos: load, save, pre-train, and the oracles that question a teacher."""

from dfml.zoo.teacher import Teacher, TeacherCard
from dfml.zoo.zoo import Zoo, open_zoo, zoo_names

__all__ = ["Teacher", "TeacherCard", "Zoo", "open_zoo", "zoo_names"]
