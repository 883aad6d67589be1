"""The statements of the seeding script. Each writes the rows of the incidents `first` to `last` out of `size`.

Incidents are spread over two years, the newest have the highest ids. Of a thousand, 100 are open: the newest 50, which
are a storm of one service, and 50 that are spread over the years. 12 are acknowledged or snoozed, the others resolved.
"""

REPEATABLE = "SELECT setseed(0.5)"
PEOPLE = """
    INSERT INTO users (email, hashed_password, full_name)
    SELECT 'person-' || number || '@seed.example.com', '!', 'Person ' || number
    FROM generate_series(1, 200) AS number
"""
STEPS = """[{"delay_minutes": 1440, "actions": [{"type": "notify", "target": "creator"}]}]"""
POLICIES = f"""
    INSERT INTO escalation_policies (name, conditions, steps)
    SELECT 'Seeded policy ' || number, jsonb_build_object('service', jsonb_build_array('service-' || number)), '{STEPS}'
    FROM generate_series(1, 50) AS number
"""
VERSIONS = """
    INSERT INTO escalation_policy_versions (policy_id, version, conditions, steps, repeat)
    SELECT id, 1, conditions, steps, 0 FROM escalation_policies
"""
SLOW_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '% USING gin %'
"""

# The ids were written explicitly.
RESET_IDS = "SELECT setval(pg_get_serial_sequence('incidents', 'id'), (SELECT max(id) FROM incidents))"

# Services are as unequal as in life: the square of a random number prefers the first.
INCIDENTS = """
    INSERT INTO incidents (id, title, description, status, severity, service, source, alert_id, alert_count, created_by,
        assigned_to, created_at, updated_at, acknowledged_at, resolved_at, snoozed_until)
    SELECT number, title || ' on host-' || (ARRAY['web', 'db', 'queue', 'cache'])[1 + mod(number, 4)] || '-'
            || mod(mod(number, 4000) * 7919, 4000),
        'Since ' || to_char(at, 'HH24:MI') || ' ' || title || '. Dashboard ' || md5(number::text),
        status, severity, service, CASE WHEN is_alert THEN 'elastic' ELSE 'api' END,
        CASE WHEN is_alert THEN 'alert-' || number END, is_alert::int, CASE WHEN NOT is_alert THEN creator END,
        CASE WHEN status <> 'open' THEN owner END, at, at,
        CASE WHEN status = 'acknowledged' THEN at + interval '5 minutes' END,
        CASE WHEN status = 'resolved' THEN at + interval '1 hour' END,
        CASE WHEN status = 'snoozed' THEN now() + interval '30 days' END
    FROM (
        SELECT number, now() - (%(size)s - number + 1) * (interval '2 years' / %(size)s) AS at,
            CASE WHEN number > %(size)s * 0.95 THEN 'open' WHEN mod(number, 19) = 0 THEN 'open'
                WHEN mod(number, 100) = 1 THEN 'acknowledged' WHEN mod(number, 500) = 2 THEN 'snoozed'
                ELSE 'resolved' END AS status,
            CASE WHEN chance < 0.03 THEN 'critical' WHEN chance < 0.2 THEN 'high' WHEN chance < 0.6 THEN 'medium'
                ELSE 'low' END AS severity,
            CASE WHEN number > %(size)s * 0.95 THEN 'service-storm'
                ELSE 'service-' || (1 + floor(power(random(), 2) * 200))::int END AS service,
            (ARRAY['Disk is full', 'Latency is high', 'Certificate expires', 'Replication lags', 'Queue grows',
                'Payment fails', 'Login fails', 'Memory runs out'])[1 + floor(random() * 8)::int] AS title,
            chance > 0.4 AS is_alert,
            (SELECT min(id) FROM users) + floor(power(random(), 2) * 200)::int AS creator,
            (SELECT min(id) FROM users) + floor(power(random(), 2) * 200)::int AS owner
        FROM (SELECT number, random() AS chance FROM generate_series(%(first)s, %(last)s) AS number) AS numbers
    ) AS drawn
"""
TIMELINE = """
    INSERT INTO timeline_events (incident_id, event_type, description, created_at, metadata)
    SELECT id, event.type, event.words, created_at + event.place * interval '1 minute', '{"source": "api"}'
    FROM incidents, (VALUES (0, 'created', 'Incident opened.'), (1, 'escalation_step', 'Step 1 fired.'),
        (2, 'updated', 'Changed severity.'), (3, 'updated', 'Changed title.'), (4, 'updated', 'Changed service.')
    ) AS event (place, type, words)
    WHERE id BETWEEN %(first)s AND %(last)s ORDER BY id, event.place
"""
ESCALATIONS = """
    INSERT INTO escalations (incident_id, policy_id, version_id, state, cycle, loop, repeats_left, step, next_run_at)
    SELECT incidents.id, version.policy_id, version.id, CASE WHEN status = 'open' THEN 'running' ELSE 'stopped' END,
        1, 0, 0, 0, CASE WHEN status = 'open' THEN now() + interval '1 day' END
    FROM incidents, (SELECT * FROM escalation_policy_versions ORDER BY id LIMIT 1) AS version
    WHERE incidents.id BETWEEN %(first)s AND %(last)s
"""
EVENTS = """
    INSERT INTO escalation_events (incident_id, policy_id, cycle, loop, step, status, triggered_at, completed_at)
    SELECT incidents.id, policy.id, 1, 0, 0, 'completed', created_at, created_at
    FROM incidents, (SELECT min(id) AS id FROM escalation_policies) AS policy
    WHERE incidents.id BETWEEN %(first)s AND %(last)s
"""
# Of a thousand, 5 are dead, 3 still wait for a provider, and 2 for their recipient's token bucket.
NOTIFICATIONS = """
    INSERT INTO notifications (event_id, incident_id, cycle, user_id, recipient, channel, address, kind, subject, body,
        status, is_held, end_reason, attempt, next_attempt_at, fallback_at, first_attempt_at, accepted_at, ended_at,
        created_at)
    SELECT event_id, incident_id, 1, user_id, 'user:' || user_id, channel, 'person@seed.example.com', 'page',
        'An incident needs you', repeat('An incident needs you. ', 10), status,
        status = 'pending' AND mod(incident_id, 400) = 19,
        CASE WHEN status = 'dead' THEN 'gave_up' END, CASE WHEN status = 'pending' THEN 0 ELSE 1 END,
        CASE WHEN status = 'pending' THEN now() + interval '1 day' END,
        CASE WHEN status = 'pending' THEN now() + interval '2 days' END,
        CASE WHEN status <> 'pending' THEN at END, CASE WHEN status = 'delivered' THEN at END,
        CASE WHEN status = 'dead' THEN at END, at
    FROM (
        SELECT id AS event_id, incident_id, triggered_at AS at,
            (SELECT min(id) FROM users) + floor(power(random(), 2) * 200)::int AS user_id,
            (ARRAY['email', 'email', 'sms', 'push'])[1 + mod(incident_id, 4)] AS channel,
            CASE mod(incident_id, 200) WHEN 3 THEN 'dead' WHEN 19 THEN 'pending' ELSE 'delivered' END AS status
        FROM escalation_events WHERE incident_id BETWEEN %(first)s AND %(last)s
    ) AS drawn
"""
ATTEMPTS = """
    INSERT INTO notification_attempts (notification_id, at, outcome, latency_ms)
    SELECT id, first_attempt_at, CASE WHEN status = 'dead' THEN 'dead' ELSE 'accepted' END, 40
    FROM notifications WHERE first_attempt_at IS NOT NULL AND incident_id BETWEEN %(first)s AND %(last)s
"""
