"""Choose the index of the table passages that searches use."""


def show_only(conn, name, others_are_kept):
    """
    Make only the index of this name visible to the planner, or all indexes if name is None. Inserts still maintain the others, unless
    others_are_kept is false. If so, inserted rows must be deleted and vacuumed before the others are made visible again.
    """
    shown = "c.relname = %s::name OR %s::name IS NULL OR a.amname NOT LIKE 'colbert%%'"
    kept = 'true' if others_are_kept else shown
    conn.execute(f"UPDATE pg_index SET indisvalid = ({shown}), indisready = ({kept}), indislive = ({kept}) FROM pg_class c, pg_am a "
                 "WHERE c.oid = indexrelid AND a.oid = c.relam AND indrelid = 'passages'::regclass", (name, name) * (1 if others_are_kept else 3))
