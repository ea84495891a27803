"""Metrics of tables; :class:`Table` holds columns of numbers and of categories."""

from ornstein.evaluation.tabular.closest_record import distance_to_closest as distance_to_closest
from ornstein.evaluation.tabular.collection import Table as Table
from ornstein.evaluation.tabular.collection import TableSettings as TableSettings
from ornstein.evaluation.tabular.column_shapes import column_shapes as column_shapes
from ornstein.evaluation.tabular.pair_trends import pair_trends as pair_trends
from ornstein.evaluation.tabular.utility import utility as utility
