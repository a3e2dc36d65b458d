import csv

from mmskf.utils.tables import markdown_table, write_csv


def test_tables(tmp_path):
    header, rows = ['model', 'NIQE'], [['a, b', 3.5], ['c', '']]
    assert markdown_table(header, rows) == '| model | NIQE |\n| --- | --- |\n| a, b | 3.5 |\n| c |  |\n'
    write_csv(tmp_path / 'new' / 'table.csv', header, rows)
    with open(tmp_path / 'new' / 'table.csv', newline='') as file:
        assert list(csv.reader(file)) == [header, ['a, b', '3.5'], ['c', '']]
