"""Where executions live: SQLite, PostgreSQL, or a store of your own."""
